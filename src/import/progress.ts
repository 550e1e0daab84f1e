/** How far a command is: a bar on a terminal, a plain line every few seconds in a log. */
import { SingleBar } from 'cli-progress';

const LINE_EVERY_MS = 5_000;
const NOTHING_YET = '–';

export class Progress {
  private readonly startedAt = Date.now();
  private readonly bar?: SingleBar;
  private saidAt = Date.now();

  constructor(
    private readonly byteCount: number,
    private readonly out: NodeJS.WriteStream = process.stderr,
    private readonly noun = 'movements',
  ) {
    if (!out.isTTY) return;
    this.bar = new SingleBar({
      format: `{bar} {percentage}% | {movements} ${noun} | {rate}/s | {left} left`,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      barsize: 30,
      hideCursor: true,
      clearOnComplete: true,
      stream: out,
      // Ctrl-C is the import's own: it ends cleanly, and so does the bar.
      gracefulExit: false,
    });
    this.bar.start(Math.max(1, byteCount), 0, { movements: '0', rate: NOTHING_YET, left: NOTHING_YET });
  }

  /** @param bytesRead how much of the work (bytes of a file whose movements have their outcome) is done. */
  update(bytesRead: number, movementCount: number): void {
    const seconds = (Date.now() - this.startedAt) / 1_000;
    const movements = movementCount.toLocaleString('en-US');
    const rate = Math.round(movementCount / Math.max(seconds, 0.001)).toLocaleString('en-US');
    const left = bytesRead === 0 ? NOTHING_YET : duration((seconds * (this.byteCount - bytesRead)) / bytesRead);
    this.bar?.update(Math.min(bytesRead, this.byteCount), { movements, rate, left });
    if (this.bar || Date.now() - this.saidAt < LINE_EVERY_MS) return;
    this.saidAt = Date.now();
    const percent = Math.floor((100 * bytesRead) / Math.max(1, this.byteCount));
    this.out.write(`${percent}% | ${movements} ${this.noun} | ${rate}/s | ${left} left\n`);
  }

  /** A line above the bar, or simply a line. */
  say(line: string): void {
    if (this.bar) this.out.write(`\r\u001b[K${line}\n`);
    else this.out.write(`${line}\n`);
  }

  /** Takes the bar away. */
  stop(): void {
    this.bar?.stop();
  }
}

function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
