/** Reads environment variables by kind. */

/** Reads variables and gathers what is wrong with them, so that all of it can be said at once. */
export class Environment {
  readonly problems: string[] = [];
  constructor(private readonly env: Record<string, string | undefined>) {}

  text(name: string, fallback: string): string {
    return this.env[name]?.trim() || fallback;
  }

  integer(name: string, fallback: number, min: number, max: number): number {
    const raw = this.text(name, String(fallback));
    const value = Number(raw);
    this.check(/^\d+$/.test(raw) && value >= min && value <= max, name, raw, `a whole number from ${min} to ${max}`);
    return value;
  }

  oneOf<T extends string>(name: string, allowed: readonly T[], fallback: T): T {
    const raw = this.text(name, fallback);
    this.check((allowed as readonly string[]).includes(raw), name, raw, allowed.join(' or '));
    return raw as T;
  }

  /** Texts that are separated by commas. */
  list(name: string): string[] {
    return this.text(name, '')
      .split(',')
      .map((item) => item.trim())
      .filter(Boolean);
  }

  /** SECURITY: says what a secret must be without printing it. @returns its bytes, or nothing where it is absent or wrong. */
  secret(name: string, help: string): Buffer | undefined {
    const text = this.text(name, '');
    if (text === '') return undefined;
    const secret = Buffer.from(text, 'base64');
    // Buffer passes over what is no base64: a sentence of the right length would do.
    if (/^[A-Za-z0-9+/]{43}=?$/.test(text) && new Set(secret).size > 8) return secret;
    this.problems.push(`${name} must be 32 random bytes in base64; ${help}`);
    return undefined;
  }

  check(isRight: boolean, name: string, raw: string, allowed: string): void {
    if (!isRight) this.problems.push(`${name} must be ${allowed}, not "${raw}"`);
  }
}
