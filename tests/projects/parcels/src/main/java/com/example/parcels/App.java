package com.example.parcels;

import java.io.IOException;

/** Starts the service. */
public final class App {

    private App() {
    }

    public static void main(String[] arguments) throws IOException {
        new Server(Integer.parseInt(System.getenv().getOrDefault("PORT", "8080"))).start();
    }
}
