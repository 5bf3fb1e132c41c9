from fibonacci.testing import CipherContract


class TestAesGcm(CipherContract):
    cipher = "aes-256-gcm"
