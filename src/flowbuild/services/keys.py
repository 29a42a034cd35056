"""Use cases of the keys that seal secrets. Blocking: call from threads, or from the command line beside a running server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from flowbuild.services.audit import Actor, note
from flowbuild.services.decisions import Clock
from flowbuild.store.database import Database
from flowbuild.vault.keys import KeyFile
from flowbuild.vault.sealing import Vault, key_of


class KeyService:
    """Changes keys. Servers that run meanwhile follow: they look at the key file each time."""

    def __init__(self, database: Database, file: KeyFile, clock: Clock) -> None:
        self._database = database
        self._file = file
        self._clock = clock

    def uses(self) -> Mapping[str, int]:
        """Return how many texts each key seals, the newest key first; also keys that seal nothing, or are missing."""
        with self._database.read() as tx:
            counted = Counter(key_of(text) for _, _, text in tx.sealed.all())
        return {name: counted[name] for name in dict.fromkeys([*self._file.ring().keys, *counted])}

    def change(self, actor: Actor) -> int:
        """Make a new key and seal everything anew with it; return how many texts. The old keys stay, for `prune`.

        Whatever is interrupted is finished by `reseal`, and nothing is lost: both keys are there. Raises VaultError.
        """
        ring = self._file.add()
        with self._database.write() as tx:
            note(tx, self._clock(), actor, "key.change", f"key:{ring.current}")
        return self.reseal()

    def reseal(self) -> int:
        """Seal anew what an older key sealed; return how many texts. Raises VaultError."""
        vault, count = Vault(self._file.ring), 0
        with self._database.read() as tx:
            found = [each for each in tx.sealed.all() if key_of(each[2]) != self._file.ring().current]
        for column, row, text in found:  # a transaction each: who serves meanwhile does not wait
            with self._database.write() as tx:
                tx.sealed.replace(column, row, text, vault.reseal(text))
            count += 1
        return count

    def prune(self, actor: Actor) -> tuple[str, ...]:
        """Drop the keys that seal nothing any more; return their ids. A backup that is older still needs them."""
        uses, ring = self.uses(), self._file.ring()
        dropped = tuple(name for name in ring.keys if not uses[name] and name != ring.current)
        if dropped:
            self._file.keep([name for name in ring.keys if name not in dropped])
            with self._database.write() as tx:
                note(tx, self._clock(), actor, "key.prune", f"key:{','.join(dropped)}")
        return dropped
