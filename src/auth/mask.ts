/** SECURITY: a phone number as it may stand in a log: the first three characters and the last two. */
export function maskPhoneNumber(phoneNumber: string): string {
  return phoneNumber.slice(0, 3) + '•'.repeat(Math.max(0, phoneNumber.length - 5)) + phoneNumber.slice(3).slice(-2);
}
