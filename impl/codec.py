"""How bytes are made ready for a channel and for a store: compression, encryption, and the proof that a frame is whole.

=============  ========================================================================================================
on a channel   :class:`Codec` makes a *frame*: compressed, encrypted or both, as the flow documents it, and always bound
               to the message it belongs to, so that a frame cannot be taken for another (P15). Each encrypted frame
               has a nonce of its own: a counter, which belongs to the key and never goes back. So a key must be
               used by one :class:`Codec` only
in a store     :class:`BlockCipher` encrypts each block where it lies, without changing its length (H2A-18)
=============  ========================================================================================================
"""

from __future__ import annotations

import hmac
from hashlib import blake2b

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import XTS

from .errors import IntegrityError
from .messages import ChangeBatch, CopyChunk

__all__ = ["BlockCipher", "Codec", "identity_of"]


class Codec:
    """Frames of one channel, shared by both of its ends. ``decode`` undoes ``encode`` (P15).

    Without encryption a keyed digest over frame and identity takes the place of the cipher's own tag.
    """

    NONCE = 12
    TAG = 16

    def __init__(self, key: bytes, *, compresses: bool = True, encrypts: bool = True) -> None:
        self._key = key
        self._cipher = AESGCM(key) if encrypts else None
        self._frames = 0
        self._compress = zstandard.ZstdCompressor(level=1) if compresses else None
        self._expand = zstandard.ZstdDecompressor() if compresses else None

    def _tag(self, packed: bytes | memoryview, identity: bytes) -> bytes:
        digest = blake2b(identity, digest_size=self.TAG, key=self._key)
        digest.update(len(identity).to_bytes(8, "big"))
        digest.update(packed)
        return digest.digest()

    def encode(self, data: bytes, identity: bytes) -> bytes:
        """Compress, then encrypt; ``identity`` is authenticated but not stored."""
        packed = data if self._compress is None else self._compress.compress(data)
        if self._cipher is None:
            return self._tag(packed, identity) + packed
        self._frames += 1
        nonce = self._frames.to_bytes(self.NONCE, "big")
        return nonce + self._cipher.encrypt(nonce, packed, identity)

    def decode(self, frame: bytes, identity: bytes) -> bytes:
        """Decrypt, then expand.

        Raises:
            IntegrityError: damaged, or another message's frame.
        """
        try:
            packed = self._open(frame, identity)
            return bytes(packed) if self._expand is None else self._expand.decompress(packed)
        except (InvalidTag, ValueError, zstandard.ZstdError) as error:
            raise IntegrityError(f"frame of {len(frame)} bytes is damaged or belongs to another message") from error

    def _open(self, frame: bytes, identity: bytes) -> bytes | memoryview:
        whole = memoryview(frame)
        if self._cipher is not None:
            return self._cipher.decrypt(frame[: self.NONCE], whole[self.NONCE :], identity)
        tag, packed = frame[: self.TAG], whole[self.TAG :]
        if not hmac.compare_digest(tag, self._tag(packed, identity)):
            raise ValueError("digest does not match")
        return packed


def identity_of(message: ChangeBatch | CopyChunk) -> bytes:
    """What a frame is bound to: kind, machine, epoch and number."""
    return f"{type(message).__name__}/{message.machine}/{message.epoch}/{message.number}".encode()


class BlockCipher:
    """Encrypts whole blocks in place; a block's place is part of its encryption (H2A-18).

    Args:
        key: 64 bytes, whose halves differ.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._cipher: Cipher[XTS] = Cipher(AES(key), XTS(bytes(16)))

    def derived(self, name: str) -> BlockCipher:
        """The cipher of another store, so that no two stores encrypt with the same key at the same place."""
        return BlockCipher(blake2b(name.encode(), digest_size=64, key=self._key).digest())

    def _at(self, place: int) -> Cipher[XTS]:
        # A new Cipher for each block would check the same key and the same kind of mode again, which costs as much as encrypting.
        self._cipher.mode = XTS(place.to_bytes(16, "little"))
        return self._cipher

    def encrypt(self, place: int, data: bytes | memoryview) -> bytes:
        """The stored form of a block."""
        return self._at(place).encryptor().update(data)

    def decrypt(self, place: int, stored: bytes | memoryview) -> bytes:
        """The block behind its stored form."""
        return self._at(place).decryptor().update(stored)
