import { Client } from 'pg';

/** How many connections the server takes from all of its clients together, less those kept for its administrators. */
export async function connectionsMax(url: string): Promise<number> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000, query_timeout: 5_000 });
  await client.connect();
  try {
    const { rows } = await client.query<{ max: number }>(
      `SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS max`,
    );
    return rows[0]!.max;
  } finally {
    await client.end();
  }
}
