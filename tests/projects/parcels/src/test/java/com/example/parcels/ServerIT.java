package com.example.parcels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class ServerIT {

    private Server server;
    private String address;

    @BeforeEach
    void start() throws IOException {
        server = new Server(0);
        address = "http://127.0.0.1:" + server.start();
    }

    @AfterEach
    void stop() {
        server.stop();
    }

    @Test
    void priceIsAnswered() throws Exception {
        assertEquals("{\"price\":6.90}", get("/prices/1500").body());
    }

    @Test
    void weightThatIsNoneIsRefused() throws Exception {
        HttpResponse<String> answer = get("/prices/many");
        assertEquals(422, answer.statusCode());
        assertTrue(answer.body().contains("error"));
    }

    private HttpResponse<String> get(String path) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(address + path)).build();
        return HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
    }
}
