"""Curves of characters."""

import unittest

import numpy as np

import quarry


class LineChart(unittest.TestCase):
    def test_a_rising_line_goes_from_the_lower_left_to_the_upper_right(self):
        lines = quarry.line_chart(np.arange(10), columns=10, rows=3).splitlines()
        self.assertEqual(len(lines), 4)
        self.assertNotEqual(lines[0][-1], "⠀")
        self.assertEqual(lines[0][11], "⠀")
        self.assertNotEqual(lines[2][11], "⠀")
        self.assertEqual(lines[2][-1], "⠀")

    def test_the_axis_shows_the_extremes_and_the_label(self):
        text = quarry.line_chart([3.5, 1.25, 2], label=" steps")
        self.assertIn("3.5000 ┤", text)
        self.assertIn("1.2500 ┤", text)
        self.assertTrue(text.endswith("└ steps"))

    def test_what_is_not_finite_is_left_out_and_too_little_draws_nothing(self):
        self.assertEqual(quarry.line_chart([1.0]), "")
        self.assertEqual(quarry.line_chart([1.0, np.nan]), "")
        self.assertIn("2.0000", quarry.line_chart([1.0, np.inf, 2.0]))

    def test_a_flat_line_is_drawn(self):
        self.assertEqual(len(quarry.line_chart([1.0, 1.0], rows=1).splitlines()), 2)


if __name__ == "__main__":
    unittest.main()
