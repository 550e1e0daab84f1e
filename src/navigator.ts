/**
 * Node.js 20 gets the `navigator` that later ones have. Where there is none, pg asks whether it runs at Cloudflare by making a
 * `Response`, for which Node loads all of undici: 60 ms of a start. Imported before anything that imports pg.
 */
globalThis.navigator ??= { userAgent: `Node.js/${process.versions.node.split('.')[0]}` } as Navigator;
