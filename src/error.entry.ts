/** A row of the error table. */
export interface ErrorEntry {
  status: number;
  title: string;
  /** Whether the same request can succeed later without a change. */
  retryable: boolean;
  cause: string;
  fix: string;
}
