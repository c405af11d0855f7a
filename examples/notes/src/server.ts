import pg from "pg";

import { build } from "./app.js";
import { PostgresNotes } from "./notes.js";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 5 });
pool.on("error", (error) => console.error("idle connection lost:", error.message));

const app = await build(new PostgresNotes(pool), { logger: true });

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    void app.close().then(() => pool.end());
  });
}

await app.listen({ host: "0.0.0.0", port: Number(process.env.PORT ?? 3000) });
