# How every room is built: warnings are errors, ccache where it is installed, sanitizers by preset.
option(QUARRY_TESTS "build the tests" ON)
set(QUARRY_SANITIZE "" CACHE STRING "sanitizers, e.g. address,undefined or thread")

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Wno-missing-field-initializers -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports these wrongly inside std::variant and std::optional.
  add_compile_options(-Wno-maybe-uninitialized -Wno-restrict -Wno-dangling-pointer)
endif()
if(QUARRY_SANITIZE)
  add_compile_options(-fsanitize=${QUARRY_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${QUARRY_SANITIZE})
  if(QUARRY_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # ThreadSanitizer does not model fences. The only ones are Asio's, around handlers that its queues' locks order too.
    add_compile_options(-Wno-tsan)
  endif()
  set(QUARRY_TIME_FACTOR 5)  # sanitized programs run two to ten times as long
else()
  set(QUARRY_TIME_FACTOR 1)
endif()

# quarry_library(name SOURCES a.cpp ... DEPENDS other ...): a static library of one folder, included as "room/file.h".
function(quarry_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${ARG_DEPENDS})
endfunction()

# quarry_program(name SOURCES ... DEPENDS ...): an executable in build/<preset>/bin.
function(quarry_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS})
endfunction()

# quarry_timeout(test seconds): ends a test that hangs. The seconds are ample for two busy cores without sanitizers; a machine that
# is several times as slow must fail nothing, so three times as many are given.
function(quarry_timeout test seconds)
  math(EXPR seconds "3 * ${seconds} * ${QUARRY_TIME_FACTOR}")
  set_tests_properties(${test} PROPERTIES TIMEOUT ${seconds})
endfunction()

# quarry_test(name SOURCES ... DEPENDS ... [TIMEOUT s] [LABELS ...] [RESOURCE_LOCK x]): a Catch2 program, one CTest test.
function(quarry_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT;RESOURCE_LOCK" "SOURCES;DEPENDS;LABELS" ${ARGN})
  quarry_program(${name} SOURCES ${ARG_SOURCES} DEPENDS ${ARG_DEPENDS} catch_main)
  add_test(NAME ${name} COMMAND ${name})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  quarry_timeout(${name} ${ARG_TIMEOUT})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}")
  if(ARG_RESOURCE_LOCK)
    set_tests_properties(${name} PROPERTIES RESOURCE_LOCK "${ARG_RESOURCE_LOCK}")
  endif()
endfunction()
