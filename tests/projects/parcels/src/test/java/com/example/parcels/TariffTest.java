package com.example.parcels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.math.BigDecimal;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TariffTest {

    private final Tariff tariff = new Tariff();

    @ParameterizedTest
    @CsvSource({"1, 5.70", "1000, 5.70", "1001, 6.90"})
    void priceGrowsWithEachKilogramBegun(int grams, BigDecimal price) {
        assertEquals(price, tariff.price(grams));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, -1, 31_501})
    void weightThatNobodyCarriesIsRefused(int grams) {
        assertThrows(IllegalArgumentException.class, () -> tariff.price(grams));
    }

    @Test
    void heaviestParcelHasAPrice() {
        assertEquals(new BigDecimal("42.90"), tariff.price(31_500));
    }
}
