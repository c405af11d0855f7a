import type { Pool } from "pg";

export interface Note {
  id: number;
  text: string;
  createdAt: string;
}

export interface Notes {
  add(text: string): Promise<Note>;
  get(id: number): Promise<Note | undefined>;
  list(): Promise<Note[]>;
  ping(): Promise<void>;
}

interface Row {
  id: number;
  text: string;
  created_at: Date;
}

const toNote = (row: Row): Note => ({ id: row.id, text: row.text, createdAt: row.created_at.toISOString() });

/** Notes kept in PostgreSQL. */
export class PostgresNotes implements Notes {
  constructor(private readonly pool: Pool) {}

  async add(text: string): Promise<Note> {
    const { rows } = await this.pool.query<Row>(
      "INSERT INTO notes (text) VALUES ($1) RETURNING id, text, created_at",
      [text],
    );
    const [row] = rows;
    if (!row) {
      throw new Error("the note was not stored");
    }
    return toNote(row);
  }

  async get(id: number): Promise<Note | undefined> {
    const { rows } = await this.pool.query<Row>("SELECT id, text, created_at FROM notes WHERE id = $1", [id]);
    return rows[0] && toNote(rows[0]);
  }

  async list(): Promise<Note[]> {
    const { rows } = await this.pool.query<Row>("SELECT id, text, created_at FROM notes ORDER BY id DESC LIMIT 100");
    return rows.map(toNote);
  }

  async ping(): Promise<void> {
    await this.pool.query("SELECT 1 FROM notes LIMIT 1");
  }
}
