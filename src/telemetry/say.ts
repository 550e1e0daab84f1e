/** The few lines of a start and an end, by a process that may have no application: a primary, or one that only opens its database. */

/** Whether LOG_FORMAT is `json`, also before the configuration is read. */
export function isLogJson({ LOG_FORMAT, NODE_ENV }: NodeJS.ProcessEnv): boolean {
  return LOG_FORMAT?.trim() ? LOG_FORMAT.trim() === 'json' : NODE_ENV === 'production';
}

/** A reader of what we say that is gone (EPIPE), or a disk that is full, ends the log and not the process. */
export function surviveLostOutput(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
}

/** Prints a line as the JSON log would. */
export function sayJson(msg: string): void {
  console.log(JSON.stringify({ level: 'info', time: new Date().toISOString(), pid: process.pid, msg }));
}
