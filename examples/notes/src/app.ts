import swagger from "@fastify/swagger";
import Fastify, { type FastifyInstance } from "fastify";

import type { Notes } from "./notes.js";

const note = {
  type: "object",
  properties: {
    id: { type: "integer" },
    text: { type: "string" },
    createdAt: { type: "string", format: "date-time" },
  },
  required: ["id", "text", "createdAt"],
} as const;

const missing = {
  type: "object",
  properties: {
    statusCode: { type: "integer" },
    error: { type: "string" },
    message: { type: "string" },
  },
} as const;

export async function build(notes: Notes, options: { logger?: boolean } = {}): Promise<FastifyInstance> {
  const app = Fastify({ logger: options.logger ?? false, ajv: { customOptions: { coerceTypes: "array" } } });
  await app.register(swagger, {
    openapi: { info: { title: "Notes", version: "1.0.0" } },
  });

  app.get("/documentation/json", { schema: { hide: true } }, () => app.swagger());
  app.get("/healthz", { schema: { hide: true } }, () => ({ status: "ok" }));
  app.get("/readyz", { schema: { hide: true } }, async () => {
    await notes.ping();
    return { status: "ready" };
  });
  app.get("/version", { schema: { hide: true } }, () => ({ commit: process.env.GIT_COMMIT ?? "unknown" }));

  app.get(
    "/notes",
    { schema: { operationId: "listNotes", response: { 200: { type: "array", items: note } } } },
    () => notes.list(),
  );

  app.post<{ Body: { text: string } }>(
    "/notes",
    {
      schema: {
        operationId: "addNote",
        body: {
          type: "object",
          properties: { text: { type: "string", minLength: 1, maxLength: 500, pattern: "^[^\\u0000]*$" } },
          required: ["text"],
          additionalProperties: false,
        },
        response: { 201: note, 400: missing, 415: missing },
      },
    },
    async (request, reply) => reply.code(201).send(await notes.add(request.body.text)),
  );

  app.get<{ Params: { id: number } }>(
    "/notes/:id",
    {
      schema: {
        operationId: "getNote",
        params: {
          type: "object",
          properties: { id: { type: "integer", minimum: 1, maximum: 2147483647 } },
          required: ["id"],
        },
        response: { 200: note, 400: missing, 404: missing },
      },
    },
    async (request, reply) => {
      const found = await notes.get(request.params.id);
      if (!found) {
        return reply.code(404).send({ statusCode: 404, error: "Not Found", message: "no such note" });
      }
      return found;
    },
  );

  return app;
}
