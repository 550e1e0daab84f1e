/** The migrated database that test databases are copied from. */
export const TEMPLATE = 'asper_template';

/**
 * The same server, another database.
 * @param {string} url
 * @param {string} database
 */
export function onDatabase(url, database) {
  const other = new URL(url);
  other.pathname = `/${database}`;
  return other.href;
}
