/**
 * The seam between the service and its traces. Off, `tracing` is undefined: each seam costs one look at it, and nothing of
 * OpenTelemetry's SDK is loaded. docs/traces.md says what spans there are.
 */
import type { Config } from '../config.js';
import type { Tracing } from './spans.js';

export let tracing: Tracing | undefined;

/** A package that traces need is not there. */
export class TracingError extends Error {}

/** Loads what traces need, where they are on. Before the application is built: its connections are watched from the start. */
export async function startTracing(config: Config): Promise<void> {
  if (!config.traces) return;
  const { openTracing } = await import('./exporter.js').catch((error: NodeJS.ErrnoException) => {
    if (!/MODULE_NOT_FOUND$/.test(error.code ?? '')) throw error;
    throw new TracingError(
      `Traces are on (OTEL_EXPORTER_OTLP_ENDPOINT), and a package that they need is not installed: ` +
        `${error.message.split('\n')[0]}. Run \`npm ci\`, or leave the variable out.`,
    );
  });
  tracing = openTracing(config);
}

/** Sends what is still here, in bounded time. */
export async function stopTracing(): Promise<void> {
  await tracing?.stop();
  tracing = undefined;
}
