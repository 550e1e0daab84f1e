/** A mistake in the command line, a sentence for the person who typed it. */
export class UsageError extends Error {}
