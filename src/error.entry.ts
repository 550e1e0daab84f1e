/** A row of the error table. */
export interface ErrorEntry {
  status: number;
  title: string;
  /** Whether the same request can succeed later without a change. */
  retryable: boolean;
  cause: string;
  fix: string;
}

/** One field and what is wrong with it: `{field: "amount", message: "must have at most 2 decimals"}`. */
export interface FieldError {
  field: string;
  message: string;
}

/** What an answer says of an error beside its body. */
export interface ProblemExtra {
  errors?: FieldError[];
  retryAfterSeconds?: number;
  replayed?: boolean;
  /** The scope that is missing. */
  scope?: string;
  /** For the log alone. */
  cause?: unknown;
}
