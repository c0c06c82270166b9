"""One published answer per primitive, for the self-test at start. Data only.

The test suite checks many more; these few are what a process repeats on the machine it runs on,
where another CPU, another libsodium or another OpenSSL may be at work.
"""

from dataclasses import dataclass
from typing import Final

from vault.crypto.suites import AEGIS_256, AES_256_GCM, XCHACHA20_POLY1305


@dataclass(frozen=True, slots=True)
class SealedAnswer:
    """One AEAD answer; `ciphertext` ends in the tag."""

    suite: int
    key: bytes
    nonce: bytes
    aad: bytes
    plaintext: bytes
    ciphertext: bytes


_hex = bytes.fromhex

SEALED: Final = (
    SealedAnswer(  # draft-irtf-cfrg-xchacha-03, A.3.1
        XCHACHA20_POLY1305,
        key=bytes(range(0x80, 0xA0)),
        nonce=bytes(range(0x40, 0x58)),
        aad=_hex("50515253c0c1c2c3c4c5c6c7"),
        plaintext=b"Ladies and Gentlemen of the class of '99: If I could offer you "
        b"only one tip for the future, sunscreen would be it.",
        ciphertext=_hex(
            "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
            "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
            "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
            "21f9664c97637da9768812f615c68b13b52e"
            "c0875924c1c7987947deafd8780acf49"
        ),
    ),
    SealedAnswer(  # McGrew and Viega, "The Galois/Counter Mode of Operation", test case 16
        AES_256_GCM,
        key=_hex("feffe9928665731c6d6a8f9467308308" * 2),
        nonce=_hex("cafebabefacedbaddecaf888"),
        aad=_hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
        plaintext=_hex(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
        ),
        ciphertext=_hex(
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
            "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
            "76fc6ece0f4e1768cddf8853bb2d551b"
        ),
    ),
    SealedAnswer(  # RFC 10032, AEGIS-256 test vector 3
        AEGIS_256,
        key=_hex("1001") + bytes(30),
        nonce=_hex("10000200") + bytes(28),
        aad=bytes(range(8)),
        plaintext=bytes(range(32)),
        ciphertext=_hex(
            "f373079ed84b2709faee373584585d60accd191db310ef5d8b11833df9dec711"
            "b7d28d0c3c0ebd409fd22b44160503073a547412da0854bfb9723020dab8da1a"
        ),
    ),
)

# FIPS 197, C.3.
AES_KEY: Final = bytes(range(32))
AES_PLAIN: Final = _hex("00112233445566778899aabbccddeeff")
AES_CIPHER: Final = _hex("8ea2b7ca516745bfeafc49904b496089")

# libsodium's crypto_kdf: master 00..1f, subkey 0, context "KDF test", 64 bytes.
KDF_MASTER: Final = bytes(range(32))
KDF_CONTEXT: Final = b"KDF test"
KDF_SUBKEY: Final = _hex(
    "a0c724404728c8bb95e5433eb6a9716171144d61efb23e74b873fcbeda51d807"
    "1b5d70aae12066dfc94ce943f145aa176c055040c3dd73b0a15e36254d450614"
)

# RFC 8032, 7.1, test 2.
SIGN_SEED: Final = _hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
SIGN_PUBLIC: Final = _hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGN_MESSAGE: Final = b"\x72"
SIGN_SIGNATURE: Final = _hex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)
