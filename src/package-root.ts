import { existsSync } from 'node:fs';
import path from 'node:path';

/** A file of the package, wherever it is called from: the compiled code lies one folder deeper than the sources. */
export function packageFile(...names: string[]): string {
  let folder = import.meta.dirname;
  while (!existsSync(path.join(folder, 'package.json'))) folder = path.dirname(folder);
  return path.join(folder, ...names);
}
