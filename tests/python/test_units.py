"""Amounts and quantities as people read them; the values themselves stay exact."""

import unittest
from decimal import Decimal

from quarry.remote.answers import Line
from quarry.remote.progress import human_money


class Units(unittest.TestCase):
    def test_money_has_cents_three_digits_or_a_power_of_ten(self):
        for amount, text in (("12.5", "$12.50"), ("0.000000000001", "$1.0e-12"), ("0.000000025501", "$2.6e-8"), ("0", "$0.00"),
                             ("0.4737", "$0.474"), ("0.0025", "$0.0025"), ("0.9999", "$1.00"), ("9.995", "$10.00"), ("-3", "-$3.00"),
                             ("99999999999999999999999999.995000000000", "$100000000000000000000000000.00")):
            self.assertEqual(human_money(Decimal(amount)), text)

    def test_storage_is_in_bytes_times_hours(self):
        line = Line("retention", 1_993_694_400, "byte_hour", Decimal("0.0001"), "gib_hour", Decimal("0.000185676575"))
        self.assertEqual((line.quantity_text(), line.per_text()), ("1.86 GiB-hours", "GiB-hour"))
        self.assertEqual(line.amount, Decimal("0.000185676575"))


if __name__ == "__main__":
    unittest.main()
