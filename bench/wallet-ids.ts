/** Ids of the form of a UUID v7, in order, as wallets opened one after the other would have. */
export function walletIdOf(index: number): string {
  return `01990000-0000-7000-8000-${index.toString(16).padStart(12, '0')}`;
}
