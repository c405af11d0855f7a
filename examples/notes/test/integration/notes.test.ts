import pg from "pg";
import { afterAll, beforeEach, describe, expect, it } from "vitest";

import { PostgresNotes } from "../../src/notes.js";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
const notes = new PostgresNotes(pool);

beforeEach(async () => {
  await pool.query("TRUNCATE notes RESTART IDENTITY");
});

afterAll(async () => {
  await pool.end();
});

describe("notes in PostgreSQL", () => {
  it("are found again, the newest first", async () => {
    await notes.add("first");
    await notes.add("second");
    expect((await notes.list()).map((note) => note.text)).toEqual(["second", "first"]);
    expect(await notes.get(1)).toMatchObject({ id: 1, text: "first" });
  });

  it("are not found before they are written", async () => {
    expect(await notes.get(1)).toBeUndefined();
    await expect(notes.ping()).resolves.toBeUndefined();
  });
});
