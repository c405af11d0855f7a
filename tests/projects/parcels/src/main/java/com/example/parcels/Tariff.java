package com.example.parcels;

import java.math.BigDecimal;

/** What a parcel costs by its weight. */
public final class Tariff {

    private static final BigDecimal BASE = new BigDecimal("4.50");
    private static final BigDecimal PER_KILOGRAM = new BigDecimal("1.20");
    private static final int HEAVIEST_GRAMS = 31_500;

    public BigDecimal price(int grams) {
        if (grams <= 0 || grams > HEAVIEST_GRAMS) {
            throw new IllegalArgumentException(
                "a parcel weighs between 1 and " + HEAVIEST_GRAMS + " grams");
        }
        int kilograms = (grams + 999) / 1000;
        return BASE.add(PER_KILOGRAM.multiply(BigDecimal.valueOf(kilograms)));
    }
}
