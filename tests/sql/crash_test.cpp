#include "tests/sql/fixture.h"

namespace quarry::test {
TEST_CASE("placeholder") {}
}  // namespace quarry::test
