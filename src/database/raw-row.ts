/** A row as the driver gives it, before a named function has read it into our types. */
// oxlint-disable-next-line typescript/no-explicit-any
export type RawRow = Record<string, any>;
