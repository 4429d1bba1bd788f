// Sanitizers slow programs down: what a test lets a machine take, or waits for at most, is multiplied by this.
#pragma once

#ifdef QUARRY_TIME_FACTOR  // set by the build, see cmake/QuarryBuild.cmake
inline constexpr int kTimeFactor = QUARRY_TIME_FACTOR;
#else
inline constexpr int kTimeFactor = 1;
#endif
