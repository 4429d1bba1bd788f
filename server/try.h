// QUARRY_TRY and QUARRY_ASSIGN of common/result.h for coroutines, where leaving is co_return.
#pragma once

#include "common/result.h"

#define QUARRY_CO_TRY(expression)                                                                                \
  do {                                                                                                           \
    if (auto quarry_status_ = (expression); !quarry_status_.ok()) co_return std::move(quarry_status_).problem(); \
  } while (0)
#define QUARRY_CO_ASSIGN(declaration, expression) \
  QUARRY_CO_ASSIGN_(declaration, expression, QUARRY_CONCAT(quarry_result_, __LINE__))
#define QUARRY_CO_ASSIGN_(declaration, expression, result) \
  auto result = (expression);                              \
  if (!result.ok()) co_return std::move(result).problem(); \
  declaration = std::move(result).value()
