/**
 * The log: what the service says of itself, and a line for each request. LOG_FORMAT=json is one JSON object a line on stdout,
 * for machines; text is for people, and leaves requests out. Lines are written behind the work: what is under way when the
 * process is killed is lost.
 */
import { ConsoleLogger, type LoggerService, type LogLevel } from '@nestjs/common';
import { pino, type Logger as Pino } from 'pino';
import type { Config } from '../config.js';
import { redact } from './redact.js';

/** Beyond this, whoever reads the log has fallen behind, and lines are dropped rather than memory filled. */
const UNWRITTEN_BYTES_MAX = 16 * 1024 * 1024;
const LEVELS: LogLevel[] = ['fatal', 'error', 'warn', 'log', 'debug'];

/** Where everything goes that is logged as JSON. */
export interface JsonLog {
  pino: Pino;
  /** Takes lines that are JSON already, where their level is wanted. */
  write?: (line: string) => void;
}

export function jsonLog(config: Config): JsonLog {
  // While one write is under way, the next gathers; nothing waits for a timer.
  const destination = pino.destination({ fd: 1, sync: false, maxLength: UNWRITTEN_BYTES_MAX });
  survive(destination);
  const options = {
    level: config.logLevel,
    base: { pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (level: string) => ({ level }) },
  };
  const isWanted = config.logLevel === 'info' || config.logLevel === 'debug';
  return { pino: pino(options, destination), ...(isWanted && { write: (line) => void destination.write(line) }) };
}

/**
 * A full disk ends the log until there is room again, and not the service. What could not be written is written with the next
 * line. At the exit it is lost: pino's last flush would try for ever, with the port still open.
 */
function survive(destination: ReturnType<typeof pino.destination>): void {
  let isFailing = false;
  destination.on('error', () => (isFailing = true)).on('write', () => (isFailing = false));
  const flush = destination.flushSync.bind(destination);
  destination.flushSync = () => isFailing || flush();
}

/** What Nest says of its own start-up (50 lines) is for `debug`. */
const START_UP = /^(NestFactory|InstanceLoader|RoutesResolver|RouterExplorer|NestApplication)$/;

/** A port that cannot be had is told once, by whoever called `listen()`. */
const isToldElsewhere = (rest: unknown[]) => rest.at(-1) === 'NestApplication';

/** Nest's loggers as lines of JSON. */
export class JsonLogger implements LoggerService {
  constructor(private readonly pino: Pino) {}

  log(message: unknown, ...rest: unknown[]): void {
    this.write(START_UP.test(String(rest.at(-1))) ? 'debug' : 'info', message, rest);
  }

  error(message: unknown, ...rest: unknown[]): void {
    this.write(isToldElsewhere(rest) ? 'debug' : 'error', message, rest);
  }

  warn(message: unknown, ...rest: unknown[]): void {
    this.write('warn', message, rest);
  }

  debug(message: unknown, ...rest: unknown[]): void {
    this.write('debug', message, rest);
  }

  fatal(message: unknown, ...rest: unknown[]): void {
    this.write('fatal', message, rest);
  }

  /** @param rest as Nest hands it over: perhaps a stack, then where it comes from. */
  private write(level: 'debug' | 'info' | 'warn' | 'error' | 'fatal', message: unknown, rest: unknown[]): void {
    const context = rest.length > 0 ? String(rest.at(-1)) : undefined;
    const stack = rest.length > 1 && typeof rest[0] === 'string' ? `\n${rest[0]}` : '';
    this.pino[level]({ context }, redact(textOf(message) + stack));
  }
}

/** Nest's loggers as lines for people. */
export class TextLogger extends ConsoleLogger {
  constructor({ logLevel }: Config) {
    const levels = LEVELS.slice(0, { error: 2, warn: 3, info: 4, debug: 5 }[logLevel]);
    super({ logLevels: levels, prefix: 'asper' });
  }

  override log(message: unknown, ...rest: unknown[]): void {
    const isQuiet = START_UP.test(String(rest.at(-1)));
    if (!isQuiet || this.isLevelEnabled('debug')) super.log(message, ...(rest as [string]));
  }

  override error(message: unknown, ...rest: unknown[]): void {
    if (!isToldElsewhere(rest) || this.isLevelEnabled('debug')) super.error(message, ...(rest as [string]));
  }

  protected override stringifyMessage(message: unknown, level: LogLevel): string {
    return super.stringifyMessage(redact(textOf(message)), level);
  }
}

function textOf(message: unknown): string {
  if (message instanceof Error) return message.stack ?? message.message;
  return typeof message === 'string' ? message : JSON.stringify(message);
}
