/** The columns of a file that is imported. Apart from what reads them, which `asper --help` need not load. */
export const COLUMNS_NEEDED = ['transaction_id', 'date', 'account_id', 'type', 'amount'] as const;
export const COLUMNS_OPTIONAL = ['balance_after', 'operation'] as const;
export const COLUMNS = [...COLUMNS_NEEDED, ...COLUMNS_OPTIONAL] as const;
export type Column = (typeof COLUMNS)[number];
