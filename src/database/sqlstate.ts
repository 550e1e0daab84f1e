/**
 * What a database error means for the caller's money. `QueryFailedError.code` is the SQLSTATE; a connection that
 * died carries none (or Node's `ECONNRESET`), and TypeORM may even hide it behind "already released".
 * https://www.postgresql.org/docs/18/errcodes-appendix.html
 */

const SERIALIZATION_FAILURE = '40001';
const DEADLOCK_DETECTED = '40P01';
export const UNIQUE_VIOLATION = '23505';
export const DUPLICATE_OBJECT = '42710';
export const INSUFFICIENT_PRIVILEGE = '42501';
export const LOCK_NOT_AVAILABLE = '55P03';
export const UNDEFINED_TABLE = '42P01';

/** The five characters of a SQLSTATE, or nothing where the server never answered. */
export function sqlState(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && !/^E[A-Z]{4}$/.test(code) ? code : undefined;
}

/** Whether the transaction lost against another one, and would pass if it were tried again. */
export function isSerializationFault(error: unknown): boolean {
  return [SERIALIZATION_FAILURE, DEADLOCK_DETECTED].includes(sqlState(error) ?? '');
}

/** The name of the violated constraint, to tell one unique violation from another. */
export function constraintOf(error: unknown): string | undefined {
  return (error as { constraint?: string } | undefined)?.constraint;
}

/** Whether the server ended the connection with it, or itself. */
export function endsConnection(error: unknown): boolean {
  return /^(FATAL|PANIC)$/.test(String((error as { severity?: unknown } | undefined)?.severity));
}

/**
 * Whether the database, not the request, is at fault: no answer, connection lost (08), resources (53), operator
 * action or time-out (57, 55P03), read-only during a failover (25006), system error (58, XX); and whatever ends a connection
 * or never lets it in (FATAL), such as a password that was changed (28P01) or a database that is being restored (55000).
 */
export function isDatabaseFault(error: unknown): boolean {
  if (!isDatabaseError(error)) return false;
  if (endsConnection(error)) return true;
  const state = sqlState(error);
  return state === undefined || /^(08|53|57|58|XX|55P03|25006|3D)/.test(state);
}

/** Whether an error comes from the driver, the pool or TypeORM at all, rather than from a bug of ours. */
export function isDatabaseError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (sqlState(error)) return true;
  return (
    /^(QueryFailedError|QueryRunner\w*ReleasedError|ConnectionNotFoundError|DriverOptionNotSetError|AggregateError)$/.test(
      error.name,
    ) ||
    /^E(CONN|PIPE|HOST|NET|AI_|TIMEDOUT|NOTFOUND)/.test(String((error as NodeJS.ErrnoException).code ?? '')) ||
    /connection|timeout|terminated|not queryable|pool/i.test(error.message)
  );
}
