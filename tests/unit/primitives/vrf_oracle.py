"""RFC 9381's ECVRF-EDWARDS25519-SHA512-TAI on Python's integers, written from the text, slow and plain."""

from hashlib import sha512

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
IDENTITY = (0, 1)


def x_of(y, is_odd):
    """RFC 8032, section 5.1.3; None where there is no such point."""
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * ROOT_OF_MINUS_ONE % P
    if x * x % P != square or (x == 0 and is_odd):
        return None
    return P - x if x % 2 != is_odd else x


def decode(data):
    number = int.from_bytes(data, "little")
    y, is_odd = number % 2**255, number >> 255
    x = x_of(y, is_odd)
    return None if x is None else (x, y)


def encode(point):
    x, y = point
    return (y | (x % 2) << 255).to_bytes(32, "little")


def add(first, second):
    (x1, y1), (x2, y2) = first, second
    product = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P
    return x, y


def times(number, point):
    result = IDENTITY
    while number:
        if number % 2:
            result = add(result, point)
        point, number = add(point, point), number // 2
    return result


def minus(point):
    return -point[0] % P, point[1]


BASE_Y = 4 * pow(5, -1, P) % P
BASE = (x_of(BASE_Y, 0), BASE_Y)


def hash_to_curve(public_key, alpha):
    for counter in range(256):
        data = b"\x03\x01" + public_key + alpha + bytes([counter]) + b"\x00"
        point = decode(sha512(data).digest()[:32])
        if point is not None:
            point = times(8, point)
            if point != IDENTITY:
                return point
    raise AssertionError


def challenge(*points):
    digest = sha512(b"\x03\x02" + b"".join(encode(point) for point in points) + b"\x00").digest()
    return int.from_bytes(digest[:16], "little")


def secret(seed):
    digest = sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little")
    scalar = scalar & (2**254 - 8) | 2**254
    return scalar, digest[32:]


def public_key(seed):
    return encode(times(secret(seed)[0], BASE))


def prove(seed, alpha):
    scalar, prefix = secret(seed)
    key = times(scalar, BASE)
    point = hash_to_curve(encode(key), alpha)
    gamma = times(scalar, point)
    nonce = int.from_bytes(sha512(prefix + encode(point)).digest(), "little") % Q
    found = challenge(key, point, gamma, times(nonce, BASE), times(nonce, point))
    response = (nonce + found * scalar) % Q
    return encode(gamma) + found.to_bytes(16, "little") + response.to_bytes(32, "little")


def output(proof):
    return sha512(b"\x03\x03" + encode(times(8, decode(proof[:32]))) + b"\x00").digest()


def verify(key_bytes, alpha, proof):
    """The output, or None; as the RFC says it, with validate_key."""
    key, gamma = decode(key_bytes), decode(proof[:32])
    found, response = int.from_bytes(proof[32:48], "little"), int.from_bytes(proof[48:], "little")
    if key is None or gamma is None or response >= Q or times(8, key) == IDENTITY:
        return None
    point = hash_to_curve(key_bytes, alpha)
    first = add(times(response, BASE), minus(times(found, key)))
    second = add(times(response, point), minus(times(found, gamma)))
    return output(proof) if challenge(key, point, gamma, first, second) == found else None
