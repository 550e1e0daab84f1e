/** What was started and must be stopped again, the last first, whatever happens in between. */
export class CleanUp {
  private readonly steps: Array<() => unknown> = [];
  private running?: Promise<void>;

  add(step: () => unknown): void {
    this.steps.push(step);
  }

  /** Runs every step once, even when an earlier one fails. */
  run(): Promise<void> {
    return (this.running ??= this.runAll());
  }

  private async runAll(): Promise<void> {
    for (let step = this.steps.pop(); step; step = this.steps.pop()) {
      try {
        await step();
      } catch (error) {
        console.error(`cleaning up: ${String(error)}`);
      }
    }
  }
}
