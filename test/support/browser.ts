/** Chromium without a window, driven through its debugging pipe: no library, and no port. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

interface Message {
  id: number;
  result: Record<string, unknown>;
  error?: { message: string };
}

/** The Chromium of this machine: `CHROMIUM`, or the first of its usual names in `PATH`. */
export function findChromium(): string | undefined {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const folders = (process.env.PATH ?? '').split(path.delimiter);
  const files = ['chromium', 'chromium-browser', 'google-chrome'].flatMap((name) =>
    folders.map((folder) => path.join(folder, name)),
  );
  return files.find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

export class Browser {
  private readonly asked = new Map<number, (message: Message) => void>();
  private unread = '';
  private ids = 0;
  private sessionId?: string;

  private constructor(
    private readonly child: ChildProcess,
    private readonly profile: string,
  ) {
    child.stdio[3]!.on('error', () => undefined); // where it has died, the answer is missing
    const from = child.stdio[4] as Readable;
    from.setEncoding('utf8').on('data', (chunk: string) => this.read(chunk));
  }

  /** Starts it, with one page. */
  static async open(file: string, url: string): Promise<Browser> {
    const profile = await mkdtemp(path.join(tmpdir(), 'asper-browser-'));
    const flags = ['--headless=new', '--no-first-run', '--disable-gpu', '--disable-dev-shm-usage'];
    // As root it starts without its sandbox alone; it opens nothing but our own page.
    const child = spawn(
      file,
      [...flags, '--no-sandbox', '--remote-debugging-pipe', `--user-data-dir=${profile}`, 'about:blank'],
      { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] },
    );
    await once(child, 'spawn');
    const browser = new Browser(child, profile);
    try {
      const { targetId } = await browser.send('Target.createTarget', { url });
      const { sessionId } = await browser.send('Target.attachToTarget', { targetId, flatten: true });
      browser.sessionId = sessionId as string;
      return browser;
    } catch (error) {
      await browser.stop();
      throw error;
    }
  }

  /** The value of an expression in the page. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', { expression, returnByValue: true });
    if (exceptionDetails) throw new Error(`in the page: ${JSON.stringify(exceptionDetails)}`);
    return (result as { value: T }).value;
  }

  text(selector: string): Promise<string | undefined> {
    return this.evaluate(`document.querySelector(${JSON.stringify(selector)})?.textContent.trim()`);
  }

  /** Waits until an element says something. @returns after how many milliseconds */
  async untilText(selector: string, expected: string | RegExp, ms = 10_000): Promise<number> {
    const startedAt = performance.now();
    for (;;) {
      const text = await this.text(selector);
      const waited = performance.now() - startedAt;
      if (typeof expected === 'string' ? text === expected : expected.test(text ?? '')) return waited;
      if (waited > ms) throw new Error(`${selector} says ${JSON.stringify(text)}, and not ${expected}`);
      await delay(20);
    }
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const exited = once(this.child, 'exit');
      this.child.kill('SIGKILL');
      await exited;
    }
    await rm(this.profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }

  private async send(method: string, params: object): Promise<Record<string, unknown>> {
    const id = ++this.ids;
    const answered = new Promise<Message>((resolve) => this.asked.set(id, resolve));
    const to = this.child.stdio[3] as Writable;
    to.write(`${JSON.stringify({ id, method, params, sessionId: this.sessionId })}\0`);
    const late = delay(20_000, undefined, { ref: false }).then(() => {
      throw new Error(`the browser does not answer ${method}`);
    });
    const { result, error } = await Promise.race([answered, late]);
    if (error) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  /** Messages end with a zero byte. Events have no id, and are passed over. */
  private read(chunk: string): void {
    const texts = (this.unread + chunk).split('\0');
    this.unread = texts.pop()!;
    for (const text of texts) {
      const message = JSON.parse(text) as Message;
      this.asked.get(message.id)?.(message);
      this.asked.delete(message.id);
    }
  }
}
