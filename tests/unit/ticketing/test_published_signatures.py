"""Published signatures, tokens and ciphers: ours come out as printed, all others are refused as tickets."""

from __future__ import annotations

import hashlib
import json

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ticketing import base45
from ticketing.card import CardKeys, Diversifier, cmac
from ticketing.cbor import bstr, decode
from ticketing.credential import read_credential
from ticketing.device_key import DeviceKey, device_key_from_jwk
from ticketing.errors import CredentialError
from ticketing.keyset import IssuerKey, KeySet, key_set_from_cose, key_set_from_jwks
from ticketing.signing import b64url, b64url_decode, cose_signed

ORDER = 2**252 + 27742317777372353535851937790883648493
# RFC 8032 section 7.1: secret key, public key, message, signature.
RFC_8032 = {
    "TEST 1": (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    "TEST 2": (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
    "TEST 3": (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a",
    ),
    "TEST 1024": (
        "f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
        "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
        "08b8b2b733424243760fe426a4b54908632110a66c2f6591eabd3345e3e4eb98fa6e264bf09efe12ee50f8f54e9f77b1"
        "e355f6c50544e23fb1433ddf73be84d879de7c0046dc4996d9e773f4bc9efe5738829adb26c81b37c93a1b270b20329d"
        "658675fc6ea534e0810a4432826bf58c941efb65d57a338bbd2e26640f89ffbc1a858efcb8550ee3a5e1998bd177e93a"
        "7363c344fe6b199ee5d02e82d522c4feba15452f80288a821a579116ec6dad2b3b310da903401aa62100ab5d1a36553e"
        "06203b33890cc9b832f79ef80560ccb9a39ce767967ed628c6ad573cb116dbefefd75499da96bd68a8a97b928a8bbc10"
        "3b6621fcde2beca1231d206be6cd9ec7aff6f6c94fcd7204ed3455c68c83f4a41da4af2b74ef5c53f1d8ac70bdcb7ed1"
        "85ce81bd84359d44254d95629e9855a94a7c1958d1f8ada5d0532ed8a5aa3fb2d17ba70eb6248e594e1a2297acbbb39d"
        "502f1a8c6eb6f1ce22b3de1a1f40cc24554119a831a9aad6079cad88425de6bde1a9187ebb6092cf67bf2b13fd65f270"
        "88d78b7e883c8759d2c4f5c65adb7553878ad575f9fad878e80a0c9ba63bcbcc2732e69485bbc9c90bfbd62481d9089b"
        "eccf80cfe2df16a2cf65bd92dd597b0707e0917af48bbb75fed413d238f5555a7a569d80c3414a8d0859dc65a46128ba"
        "b27af87a71314f318c782b23ebfe808b82b0ce26401d2e22f04d83d1255dc51addd3b75a2b1ae0784504df543af8969b"
        "e3ea7082ff7fc9888c144da2af58429ec96031dbcad3dad9af0dcbaaaf268cb8fcffead94f3c7ca495e056a9b47acdb7"
        "51fb73e666c6c655ade8297297d07ad1ba5e43f1bca32301651339e22904cc8c42f58c30c04aafdb038dda0847dd988d"
        "cda6f3bfd15c4b4c4525004aa06eeff8ca61783aacec57fb3d1f92b0fe2fd1a85f6724517b65e614ad6808d6f6ee34df"
        "f7310fdc82aebfd904b01e1dc54b2927094b2db68d6f903b68401adebf5a7e08d78ff4ef5d63653a65040cf9bfd4aca7"
        "984a74d37145986780fc0b16ac451649de6188a7dbdf191f64b5fc5e2ab47b57f7f7276cd419c17a3ca8e1b939ae49e4"
        "88acba6b965610b5480109c8b17b80e1b7b750dfc7598d5d5011fd2dcc5600a32ef5b52a1ecc820e308aa342721aac09"
        "43bf6686b64b2579376504ccc493d97e6aed3fb0f9cd71a43dd497f01f17c0e2cb3797aa2a2f256656168e6c496afc5f"
        "b93246f6b1116398a346f1a641f3b041e989f7914f90cc2c7fff357876e506b50d334ba77c225bc307ba537152f3f161"
        "0e4eafe595f6d9d90d11faa933a15ef1369546868a7f3a45a96768d40fd9d03412c091c6315cf4fde7cb68606937380d"
        "b2eaaa707b4c4185c32eddcdd306705e4dc1ffc872eeee475a64dfac86aba41c0618983f8741c5ef68d3a101e8a3b8ca"
        "c60c905c15fc910840b94c00a0b9d0",
        "0aab4c900501b3e24d7cdf4663326a3a87df5e4843b2cbdb67cbf6e460fec350aa5371b1508f9f4528ecea23c436d94b"
        "5e8fcd4f681e30a6ac00a9704a188a03",
    ),
    "TEST SHA(abc)": (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").hexdigest(),
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e030"
        "3dca179c138ac17ad9bef1177331a704",
    ),
}


@pytest.mark.parametrize("name", RFC_8032)
def test_ed25519_of_rfc_8032(name):
    secret, public, message, signature = (bytes.fromhex(digits) for digits in RFC_8032[name])
    private = Ed25519PrivateKey.from_private_bytes(secret)
    assert private.public_key().public_bytes_raw() == public
    assert private.sign(message) == signature
    key = device_key_from_jwk({"kty": "OKP", "crv": "Ed25519", "x": b64url(public)})
    assert key.verify(signature, message)
    assert not key.verify(signature, message + b"\x00")
    s = int.from_bytes(signature[32:], "little")
    for other in (s + ORDER, ORDER - s, s ^ 1):  # the first is the same number (section 5.1.7: 0 <= S < L)
        assert not key.verify(signature[:32] + other.to_bytes(32, "little"), message)


def test_es256_of_rfc_6979():
    """Appendix A.2.5: P-256 with SHA-256."""
    key = DeviceKey(
        "P-256",
        bytes.fromhex(
            "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"
            "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299"
        ),
    )
    sample = bytes.fromhex(
        "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
        "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
    )
    test = bytes.fromhex(
        "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367"
        "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083"
    )
    assert key.verify(sample, b"sample")
    assert key.verify(test, b"test")
    assert not key.verify(sample, b"test")


# --- JOSE -----------------------------------------------------------------------------------------------------------

ISSUER = Ed25519PublicKey.from_public_bytes(bytes.fromhex(RFC_8032["TEST 1"][1]))
KEYS = KeySet([IssuerKey(b"11", "takt", ISSUER)])
JOE = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
ES256_SIGNED = f"eyJhbGciOiJFUzI1NiJ9.{JOE}"
ES256_SIGNATURE = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
RFC_8037 = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
)


def refusal(token: str) -> CredentialError:
    with pytest.raises(CredentialError) as refused:
        read_credential(token, KEYS)
    return refused.value


def test_the_examples_of_base64url():
    """RFC 7515 appendix C, RFC 4648 section 10 without its padding."""
    assert b64url(bytes([3, 236, 255, 224, 193])) == "A-z_4ME"
    for text in ("", "Zg", "Zm8", "Zm9v", "Zm9vYg", "Zm9vYmE", "Zm9vYmFy"):
        assert b64url(b64url_decode(text)) == text
    for text in ("Zg==", "Zm8=", "Zh", "Zm9vYh", "Z", "Zm9v\n", "Zm 9v", "+/+/", "Zm9vÄ"):
        with pytest.raises(ValueError, match="base64url"):
            b64url_decode(text)


def test_the_signature_of_rfc_7515_a_3():
    jwk = {"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"}
    key = device_key_from_jwk(jwk | {"y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})
    assert key.verify(b64url_decode(ES256_SIGNATURE), ES256_SIGNED.encode())


def test_the_signature_of_rfc_8037_is_genuine_and_no_ticket():
    """Appendix A.4: the very signature of our algorithm, on a token of another type."""
    signed, signature = RFC_8037
    assert Ed25519PrivateKey.from_private_bytes(bytes.fromhex(RFC_8032["TEST 1"][0])).sign(
        signed.encode()
    ) == b64url_decode(signature)
    assert DeviceKey("Ed25519", ISSUER.public_bytes_raw()).verify(b64url_decode(signature), signed.encode())
    assert str(refusal(".".join(RFC_8037))) == "malformed: a token that is no ticket"


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (f"eyJhbGciOiJub25lIn0.{JOE}.", "no Ed25519 signature"),  # RFC 7515 A.5, RFC 7519 6.1: unsecured
        (f"eyJhbGciOiJub25lIn0.{JOE}.{ES256_SIGNATURE}", "an algorithm other"),  # the same, with a signature
        (f"{ES256_SIGNED}.{ES256_SIGNATURE}", "an algorithm other"),  # RFC 7515 A.3
        (  # RFC 7515 A.1: HMAC
            f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{JOE}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
            "no Ed25519 signature",
        ),
        (  # RFC 7515 appendix E: a critical header that nobody may ignore
            "eyJhbGciOiJub25lIiwNCiAiY3JpdCI6WyJodHRwOi8vZXhhbXBsZS5jb20vVU5ERUZJTkVEIl0sDQogImh0dHA6Ly9leGFtcGxlLmNv"
            f"bS9VTkRFRklORUQiOnRydWUNCn0.RkFJTA.{ES256_SIGNATURE}",
            "a JOSE header with",
        ),
        (
            f"eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19..{ES256_SIGNATURE}",
            "a JOSE header with",
        ),  # RFC 7797
    ],
)
def test_tokens_of_other_kinds_are_refused_for_what_they_are(token, reason):
    error = refusal(token)
    assert error.verdict == "malformed"
    assert error.reason.startswith(reason)


# --- COSE -----------------------------------------------------------------------------------------------------------

# RFC 8392 A.1, and A.2.2: a key of the other curve, with its private part.
CLAIMS = (
    "a70175636f61703a2f2f61732e6578616d706c652e636f6d02656572696b77037818636f61703a2f2f6c696768742e6578616d706c652e636f"
    "6d041a5612aeb0051a5610d9f0061a5610d9f007420b71"
)
P_256_KEY = (
    "a72358206c1382765aec5358f117733d281c1c7bdc39884d04a45a1e6c67c858bc206c1922582060f7f1a780d8a783bfb7a2dd6b2796e8128d"
    "bbcef9d3d168db9529971a36e7b9215820143329cce7868e416927599cf65a34f3ce2ffda55a7eca69ed8919a394d42f0f2001010202524173"
    "796d6d657472696345434453413235360326"
)
# RFC 8392 A.3: the claims under ES256; RFC 9052 appendix C.2.1: a single signer.
CWT_A_3 = (
    "d28443a10126a104524173796d6d657472696345434453413235365850" + CLAIMS + "5840"
    "5427c1ff28d23fbad1f29c4c7c6a555e601d6fa29f9179bc3d7438bacaca5acd08c8d4d4f96131680c429a01f85951ecee743a52b9b63632c5"
    "7209120e1c9e30"
)
SIGN1_C_2_1 = (
    "d28443a10126a10442313154546869732069732074686520636f6e74656e742e58408eb33e4ca31d1c465ab05aac34cc6b23d58fef5c083106"
    "c4d25a91aef0b0117e2af9a291aa32e14ab834dc56ed2a223444547e01f11d3b0916e5a4c345cacb36"
)
P_256_11 = DeviceKey(
    "P-256",
    bytes.fromhex(
        "bac5b11cad8f99f9c72b05cf4b9e26d244dc189f745228255a219a86d6a09eff"
        "20138bf82dc1b6d562be0fa54ab7804a3a64b6d72ccfed6b6fb6ed28bbfc117e"
    ),
)


def test_the_claims_of_rfc_8392():
    found = decode(bytes.fromhex(CLAIMS))
    assert found == {
        **{1: "coap://as.example.com", 2: "erikw", 3: "coap://light.example.com"},
        **{4: 1444064944, 5: 1443944944, 6: 1443944944, 7: b"\x0b\x71"},
    }
    key = decode(bytes.fromhex(P_256_KEY))
    point = DeviceKey("P-256", key[-2] + key[-3])
    _, _, payload, signature = cbor2.loads(bytes.fromhex(CWT_A_3)).value
    assert point.verify(signature, cose_signed(b"\xa1\x01\x26") + bstr(payload))
    with pytest.raises(ValueError, match="no COSE key set"):
        key_set_from_cose(b"\x81" + bytes.fromhex(P_256_KEY))


@pytest.mark.parametrize("digits", [CWT_A_3, SIGN1_C_2_1])
def test_what_another_algorithm_signed_is_no_ticket(digits):
    assert refusal(base45.encode(bytes.fromhex(digits))).verdict == "malformed"


def test_the_single_signer_of_rfc_9052():
    protected, _, payload, signature = cbor2.loads(bytes.fromhex(SIGN1_C_2_1)).value
    assert payload == b"This is the content."
    assert P_256_11.verify(signature, cose_signed(protected) + bstr(payload))


def test_all_shared_examples_of_cose_and_cwt(shared):
    """What is signed is built to the byte as printed; as tickets all are refused, signed or encrypted or wrong."""
    files = sorted((shared / "data/ticket-vectors/cose-cwt").glob("*.json"))
    assert len(files) == 17
    built = 0
    for file in files:
        vector = json.loads(file.read_text())
        data = bytes.fromhex(vector["output"]["cbor"])
        assert refusal(base45.encode(data)).verdict == "malformed", file.name
        tag = cbor2.loads(data)
        sign = vector["input"].get("sign0")
        if sign is None or sign.get("external") or vector.get("fail"):
            continue
        protected, _, payload, signature = tag.value if isinstance(tag, cbor2.CBORTag) else tag
        protected = b"" if protected == b"\xa0" else protected  # section 4.4: empty headers are signed as no bytes
        signed = cose_signed(protected) + bstr(payload)
        assert signed == bytes.fromhex(vector["intermediates"]["ToBeSign_hex"]), file.name
        built += 1
        if sign["key"]["crv"] == "Ed25519":
            ISSUER.verify(signature, signed)
    assert built == 6


def test_the_shared_vectors_of_ed25519_and_jws(shared):
    vectors = json.loads((shared / "data/ticket-vectors/ed25519-jws/rfc8032_rfc8037.json").read_text())
    for vector in vectors["rfc8032_7.1"]:
        private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vector["sk"]))
        assert private.public_key().public_bytes_raw().hex() == vector["pk"]
        assert private.sign(bytes.fromhex(vector["msg"])).hex() == vector["sig"]
    jose = vectors["rfc8037_A"]
    (key,) = key_set_from_jwks(json.dumps({"keys": [jose["jwk"] | {"kid": "11"}]})).keys
    signed, _, signature = jose["jws"].rpartition(".")
    key.public.verify(b64url_decode(signature), signed.encode())
    assert b64url_decode(signed.split(".")[1]) == jose["payload"].encode()


# --- AES ------------------------------------------------------------------------------------------------------------


def test_aes_128_of_fips_197_and_sp_800_38a():
    """FIPS 197 appendices B and C.1, SP 800-38A F.1.1: a card's data are blocks of it."""
    for key, plain, cipher in (
        ("2b7e151628aed2a6abf7158809cf4f3c", "3243f6a8885a308d313198a2e0370734", "3925841d02dc09fbdc118597196a0b32"),
        ("000102030405060708090a0b0c0d0e0f", "00112233445566778899aabbccddeeff", "69c4e0d86a7b0430d8cdb78070b4c55a"),
        (
            "2b7e151628aed2a6abf7158809cf4f3c",
            "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
            "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
            "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf"
            "43b1cd7f598ece23881b00e3ed0306887b0c785e27e8ad3f8223207104725dd4",
        ),
    ):
        assert CardKeys(1, bytes.fromhex(key), bytes(16)).decrypt_picc(bytes.fromhex(cipher)).hex() == plain


def test_the_subkeys_and_examples_of_rfc_4493():
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    made = Diversifier(key)
    assert f"{made._subkey1:032x}" == "fbeed618357133667c85e08f7236a8de"
    assert f"{made._subkey2:032x}" == "f7ddac306ae266ccf90bc11ee46d513b"
    message = bytes.fromhex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
        "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
    )
    for size, mac in (
        (0, "bb1d6929e95937287fa37d129b756746"),
        (16, "070a16b46b4d4144f79bdd9dd04a287c"),
        (40, "dfa66747de9ae63030ca32611497c827"),
        (64, "51f0bebf7e3b9d92fc49741779363cfe"),
    ):
        assert cmac(key, message[:size]).hex() == mac


def test_the_steps_of_an10922():
    """Section 2.2.1: the subkeys that it prints, and the padding, here of every length."""
    master = bytes.fromhex("00112233445566778899aabbccddeeff")
    made = Diversifier(master)
    assert f"{made._subkey1:032x}" == "fbc9f75c9413c041dfee452d3f0706d1"
    assert f"{made._subkey2:032x}" == "f793eeb928278083bfdc8a5a7e0e0d25"
    for size in range(16, 32):  # from here on a plain CMAC pads to two blocks as well
        assert made.key(bytes(range(size))) == cmac(master, b"\x01" + bytes(range(size)))
    uids = [bytes(range(start, start + 7)) for start in range(9)]
    assert made.keys(uids) == [made.key(uid) for uid in uids]
