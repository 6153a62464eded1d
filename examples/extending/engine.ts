// An engine of one's own: the built-in one with something around its calls, here a count per caller.
import { createRegistry, type Factories, type Registry, type Store } from 'cairn-kv';

/** Calls since the store was opened, by name. */
export const calls = new Map<string, number>();

/** Everything that a Store can do goes to the inner one. */
function counting(store: Store): Store {
  return new Proxy(store, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      return (...args: unknown[]): unknown => {
        calls.set(String(name), (calls.get(String(name)) ?? 0) + 1);
        return Reflect.apply(member, target, args);
      };
    },
  });
}

export function registerEngine(registry: Registry<Factories>): void {
  const builtin = createRegistry().get('engine', 'KVEngineComposite');
  registry.register('engine', 'COUNTING_ENGINE', (parts, recovery) =>
    counting(builtin(parts, recovery)),
  );
}
