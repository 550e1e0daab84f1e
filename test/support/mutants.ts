/** Builds with a bug put in on purpose: a copy of the service as it ships, with a few lines changed. */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

// Inside the project, so that the copies find its packages.
const FOLDER = path.resolve('node_modules/.cache/mutants');

/** What stands in one place of `dist/service`, and what stands there instead. */
export type Change = [text: string, by: string];

/** Copies the service and changes it; each text must stand there exactly once. Returns the entry file. */
export function mutant(name: string, changes: Change[]): string {
  const folder = path.join(FOLDER, name);
  mkdirSync(folder, { recursive: true });
  cpSync('dist/service', folder, { recursive: true, filter: (source) => !source.endsWith('.map') });
  const files = readdirSync(folder).map((file) => path.join(folder, file));
  const code = new Map(files.map((file) => [file, readFileSync(file, 'utf8')]));
  for (const [text, by] of changes) {
    const found = [...code].filter(([, lines]) => lines.includes(text));
    const parts = found[0]?.[1].split(text) ?? [];
    if (found.length !== 1 || parts.length !== 2) throw new Error(`${name}: "${text}" does not stand there once`);
    code.set(found[0]![0], parts.join(by));
    writeFileSync(found[0]![0], parts.join(by));
  }
  return path.join(folder, 'main.js');
}

/** The laws in the database would catch most bugs by themselves; here the scenarios are on trial, not they. */
export const WITHOUT_TRIGGERS = `
  ALTER TABLE wallets DISABLE TRIGGER USER; ALTER TABLE entries DISABLE TRIGGER USER;
  ALTER TABLE transactions DISABLE TRIGGER USER; ALTER TABLE wallets DROP CONSTRAINT wallets_floor_holds;
  ALTER TABLE entries DROP CONSTRAINT entries_pkey`;

/** Answers before COMMIT. @param then what happens in between; by default one COMMIT in ten fails. */
export function earlyAnswer(
  then = "if (Math.random() < 0.1) throw Object.assign(new Error('crash'), { code: '53000' });",
): Change {
  const early = '(transaction) => this.postAll(transaction, instructions, passes, repeats)';
  const answered = `async (transaction) => {
      const behind = { ...transaction, commitBehind: (writes) => Promise.all(writes) };
      const early = await this.postAll(behind, instructions, passes, repeats);
      group.forEach(({ resolve }, i) => early[i] && resolve(early[i]));
      ${then}
      return early; }`;
  return [early, answered];
}

export function removeMutants(): void {
  rmSync(FOLDER, { recursive: true, force: true });
}
