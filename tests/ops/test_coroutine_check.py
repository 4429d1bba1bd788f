"""What ops/coroutine_check refuses and what it lets pass."""

import importlib.machinery
import importlib.util
import unittest
from pathlib import Path

PATH = str(Path(__file__).resolve().parents[2] / "ops" / "coroutine_check")
LOADER = importlib.machinery.SourceFileLoader("coroutine_check", PATH)
check = importlib.util.module_from_spec(importlib.util.spec_from_loader("coroutine_check", LOADER))
LOADER.exec_module(check)

REFUSED = ["co_return keep&& co_await f();",
           "co_return keep &&\n    co_await f();",
           "if (!id || !co_await f(x)) co_return 1;",
           "auto x = a ? co_await f() : b;",
           "auto x = a ? b : co_await f(1,\n 2);",
           "auto x = co_await f() && b;",
           "auto x = a || g(1, T{2, co_await f()});",
           "while (a && !(co_await f()).ok) {}",
           "h([&] { return 1; }, a && co_await f());",
           "h(a && [&] { return 1; }() && co_await f());",
           "for (int i = 0; i < 3 && co_await f(); ++i) g();",
           "auto x = co_await T{}.f() && b;"]
PASSED = ["if (a && b) co_await f();",
          "if (a || b) { co_await f(); }",
          "auto&& x = co_await f();",
          "T<A>&& x = co_await f();",
          "h(a && b, co_await f());",
          "co_await f([&] { return a && b; });",
          "run(a && b, [] () -> T { co_await f(); co_return 1; });",
          "if (auto x = co_await f(); a && b) g();",
          "if (!co_await f()) throw x; else g(a && b);",
          "while (a && b) c = co_await f();",
          "// a && co_await f();\n/* a ? co_await\n f() : b */ g(\"a && co_await f()\", R\"(a || co_await f())\", '?', co_await f(1'000));"]


class CoroutineCheck(unittest.TestCase):
    def test_an_await_that_an_operator_may_skip_is_refused(self):
        for text in REFUSED:
            with self.subTest(text):
                line = text[:text.index("co_await")].count("\n") + 1
                self.assertEqual(check.faults("void f() {\n" + text + "\n}\n"), [line + 1])

    def test_an_await_that_is_always_reached_passes(self):
        for text in PASSED:
            with self.subTest(text):
                self.assertEqual(check.faults("void f() {\n" + text + "\n}\n"), [])

    def test_brackets_that_do_not_match_are_an_error_and_no_pass(self):
        with self.assertRaises(ValueError):
            check.faults("void f() { g(]; }")


if __name__ == "__main__":
    unittest.main()
