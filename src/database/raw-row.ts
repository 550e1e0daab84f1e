/** A row as the driver gives it, before a named function has read it into our types. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type RawRow = Record<string, any>;
