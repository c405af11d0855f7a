import { describe, expect, it } from "vitest";

import { build } from "../../src/app.js";
import type { Note, Notes } from "../../src/notes.js";

class InMemoryNotes implements Notes {
  private readonly kept: Note[] = [];

  add(text: string): Promise<Note> {
    const note = { id: this.kept.length + 1, text, createdAt: new Date(0).toISOString() };
    this.kept.push(note);
    return Promise.resolve(note);
  }

  get(id: number): Promise<Note | undefined> {
    return Promise.resolve(this.kept.find((note) => note.id === id));
  }

  list(): Promise<Note[]> {
    return Promise.resolve([...this.kept].reverse());
  }

  ping(): Promise<void> {
    return Promise.resolve();
  }
}

describe("notes", () => {
  it("keeps what is written", async () => {
    const app = await build(new InMemoryNotes());
    const added = await app.inject({ method: "POST", url: "/notes", payload: { text: "buy milk" } });
    expect(added.statusCode).toBe(201);
    const found = await app.inject({ url: `/notes/${added.json<Note>().id}` });
    expect(found.json()).toMatchObject({ text: "buy milk" });
    expect((await app.inject({ url: "/notes" })).json()).toHaveLength(1);
  });

  it("refuses an empty note", async () => {
    const app = await build(new InMemoryNotes());
    const answer = await app.inject({ method: "POST", url: "/notes", payload: { text: "" } });
    expect(answer.statusCode).toBe(400);
  });

  it("knows no note that was not written", async () => {
    const app = await build(new InMemoryNotes());
    expect((await app.inject({ url: "/notes/7" })).statusCode).toBe(404);
  });

  it("describes itself", async () => {
    const app = await build(new InMemoryNotes());
    const described = (await app.inject({ url: "/documentation/json" })).json<{ paths: object }>();
    expect(Object.keys(described.paths)).toEqual(["/notes", "/notes/{id}"]);
  });
});
