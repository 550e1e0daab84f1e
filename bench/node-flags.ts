import { readFileSync } from 'node:fs';
import { packageFile } from '../src/package-root.js';

const { scripts } = JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as {
  scripts: Record<string, string>;
};

/** What `npm run start:prod` gives node: bench and tests run the service as it ships. */
export const NODE_FLAGS = scripts['start:prod']!.split(' ').filter((word) => word.startsWith('--'));
