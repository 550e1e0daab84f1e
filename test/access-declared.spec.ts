/** S2: deny by default. A route that does not say who may call it is found here, and refused by the guard. */
import 'reflect-metadata';
import { describe, expect, it } from '@jest/globals';
import { Controller, Get, Logger, type ExecutionContext, type Type } from '@nestjs/common';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { AccessGuard } from '../src/auth/access.guard.js';
import { accessOf } from '../src/auth/access.js';

/** The routes of a controller that do not declare their access. */
function undeclared(controller: Type): string[] {
  return Object.getOwnPropertyNames(controller.prototype).flatMap((name) => {
    const handler = (controller.prototype as Record<string, () => unknown>)[name]!;
    const isRoute = name !== 'constructor' && Reflect.hasMetadata('path', handler);
    return isRoute && !accessOf({ getHandler: () => handler }) ? [`${controller.name}.${name}`] : [];
  });
}

@Controller()
class Careless {
  @Get('secrets')
  secrets() {
    return 'everything';
  }
}

describe('every route', () => {
  it('says who may call it', async () => {
    const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((file) =>
      file.endsWith('.controller.ts'),
    );
    expect(files.length).toBeGreaterThan(10);
    const found: string[] = [];
    for (const file of files) {
      const exports = (await import(path.resolve('src', file))) as Record<string, Type>;
      for (const controller of Object.values(exports)) found.push(...undeclared(controller));
    }
    expect(found).toEqual([]);
  });

  it('that does not is found, and let nobody in', () => {
    expect(undeclared(Careless)).toEqual(['Careless.secrets']);
    Logger.overrideLogger(false); // it says so in the log
    const guard = new AccessGuard(...([] as unknown as ConstructorParameters<typeof AccessGuard>));
    const context = {
      getHandler: () => Object.getOwnPropertyDescriptor(Careless.prototype, 'secrets')!.value as () => string,
      getClass: () => Careless,
    } as unknown as ExecutionContext;
    expect(() => guard.canActivate(context)).toThrow(/not open to anybody/);
  });
});
