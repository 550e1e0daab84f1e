import { rm } from 'node:fs/promises';
import path from 'node:path';

export default async function globalTeardown() {
  const embedded = globalThis.asperEmbedded;
  if (!embedded) return;
  await embedded.stop();
  await rm(path.dirname(embedded.dataDir), { recursive: true, force: true });
}
