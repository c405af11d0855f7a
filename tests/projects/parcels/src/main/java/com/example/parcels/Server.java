package com.example.parcels;

import com.google.gson.Gson;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.Executors;

/** Answers prices over HTTP. */
public final class Server {

    private final Gson gson = new Gson();
    private final Tariff tariff = new Tariff();
    private final HttpServer http;

    public Server(int port) throws IOException {
        http = HttpServer.create(new InetSocketAddress(port), 0);
        http.setExecutor(Executors.newFixedThreadPool(4));
        http.createContext("/prices/", this::price);
        http.createContext("/readyz", exchange -> answer(exchange, 200, Map.of("ready", true)));
        http.createContext("/version", exchange -> answer(exchange, 200, version()));
    }

    public int start() {
        http.start();
        return http.getAddress().getPort();
    }

    public void stop() {
        http.stop(0);
    }

    private void price(HttpExchange exchange) throws IOException {
        String weight = exchange.getRequestURI().getPath().substring("/prices/".length());
        try {
            answer(exchange, 200, Map.of("price", tariff.price(Integer.parseInt(weight))));
        } catch (IllegalArgumentException refused) {
            answer(exchange, 422, Map.of("error", String.valueOf(refused.getMessage())));
        }
    }

    private static Map<String, String> version() {
        return Map.of("commit", System.getenv().getOrDefault("COMMIT", "unknown"));
    }

    private void answer(HttpExchange exchange, int status, Object body) throws IOException {
        byte[] text = gson.toJson(body).getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(status, text.length);
        exchange.getResponseBody().write(text);
        exchange.close();
    }
}
