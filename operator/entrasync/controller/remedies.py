"""What Kubernetes says of pods it does not take, place or start, and what to do about it. Pure.

Its sentences are kept as they are: they name the node, the quota or the image. What is added is
which field of ours, or what else, mends it.
"""

from __future__ import annotations

from typing import Final

from entrasync.controller.transport import ApiError

_ANYTHING: Final = ("", "")

_REFUSALS: Final = (
    (
        "exceeded quota",
        (
            "a ResourceQuota of the namespace is used up: raise it or free some of it, or lower"
            " `spec.runner.resources` or `spec.runner.storage.size`"
        ),
    ),
    (
        "must specify",
        (
            "a ResourceQuota of the namespace wants every pod to say what it needs: set"
            " `spec.runner.resources.requests` and `limits`, or give the namespace a LimitRange"
            " with defaults"
        ),
    ),
    (
        " usage per ",
        (
            "a LimitRange of the namespace does not allow it: set `spec.runner.resources` or"
            " `spec.runner.storage.size` within its bounds"
        ),
    ),
    (
        "limit to request ratio",
        (
            "a LimitRange of the namespace does not allow it: set `spec.runner.resources.requests`"
            " nearer to `limits`"
        ),
    ),
    (
        "violates PodSecurity",
        (
            "runs fit the level `restricted`: an admission webhook or policy of the cluster changes"
            " their pods; exclude pods with the label app.kubernetes.io/managed-by=entrasync"
        ),
    ),
    (
        "no PriorityClass",
        "create the class, or correct `spec.runner.priorityClassName`",
    ),
    (
        "serviceaccount",
        "create the ServiceAccount; where it is `default`, the namespace is still being set up",
    ),
    (
        "service account",
        "create the ServiceAccount; where it is `default`, the namespace is still being set up",
    ),
    (
        "denied the request",
        "an admission webhook of the cluster refuses it: ask whoever runs it",
    ),
    (
        "ValidatingAdmissionPolicy",
        "an admission policy of the cluster refuses it: ask whoever runs it",
    ),
    (
        "failed calling webhook",
        "an admission webhook of the cluster does not answer: ask whoever runs it",
    ),
    (
        "is invalid",
        "correct the field of `spec.runner` it names",
    ),
    (
        "cannot create resource",
        "the operator's own rights are incomplete: upgrade the chart as a whole",
    ),
    _ANYTHING,
)
_PLACES: Final = (
    (
        "ReadWriteOncePod",
        "another pod holds the claim with the state: nothing but runs of this sync may use it",
    ),
    (
        "unbound immediate PersistentVolumeClaims",
        (
            "the claim with the state has no volume yet: see `kubectl describe pvc`, and"
            " `spec.runner.storage`"
        ),
    ),
    (
        "persistentvolumeclaim",
        (
            "the claim with the state is not there, or goes away: see `kubectl get pvc` and"
            " `spec.runner.storage`"
        ),
    ),
    (
        "volume node affinity conflict",
        (
            "the volume with the state lies where no fitting node is: bring such a node back, or"
            " change `spec.runner.nodeSelector` or `affinity`"
        ),
    ),
    (
        "untolerated taint",
        "set `spec.runner.tolerations`, or add nodes without the taint",
    ),
    (
        "Insufficient",
        "lower `spec.runner.resources.requests`, or add nodes",
    ),
    (
        "node affinity/selector",
        "change `spec.runner.nodeSelector` or `affinity`, or label nodes to fit",
    ),
    (
        "affinity",
        "change `spec.runner.affinity`",
    ),
    (
        "",
        "see `spec.runner.resources`, `nodeSelector`, `tolerations` and `affinity`",
    ),
)
_MOUNTS: Final = (
    (
        "Multi-Attach",
        (
            "the volume with the state is still attached to another node: it is let go once nothing"
            " there uses it; where that node is off for good, delete its node object"
        ),
    ),
    (
        "configmap",
        "the ConfigMap is gone: cancel the run, the next one makes its own",
    ),
    (
        "AttachVolume",
        "the volume with the state cannot be attached: see its storage class and CSI driver",
    ),
    (
        "MountVolume",
        "a volume of the pod cannot be mounted: see its storage class and CSI driver",
    ),
    (
        "sandbox",
        "the node cannot set up the pod's network or sandbox: look at the node and its CNI plugin",
    ),
    _ANYTHING,
)
_IMAGE: Final = (
    "the image is a setting of the operator's chart (`image.repository`, `image.tag`); a private"
    " registry needs a pull Secret in this namespace, named by its ServiceAccount `default`"
)
_WAITING: Final = {
    "ErrImagePull": _IMAGE,
    "ImagePullBackOff": _IMAGE,
    "ErrImageNeverPull": _IMAGE,
    "InvalidImageName": _IMAGE,
    "ImageInspectError": _IMAGE,
    "RegistryUnavailable": _IMAGE,
    "SignatureValidationFailed": _IMAGE,
    "CreateContainerConfigError": (
        "the node cannot set the container up as the pod says; a ConfigMap or Secret it names is"
        " missing, or the image needs another user"
    ),
    "CreateContainerError": "the node cannot make the container: look at the node's runtime",
    "RunContainerError": "the node cannot start the container: look at the node's runtime",
    "StartError": "the image is not one of entrasync: see `image.repository` of the chart",
    "ContainerCannotRun": "the image is not one of entrasync: see `image.repository` of the chart",
}
_CLAIMS: Final = (
    (
        "no storage class",
        "set `spec.runner.storage.storageClassName`, or give the cluster a default storage class",
    ),
    (
        "storageclass",
        (
            "create the StorageClass, or correct `spec.runner.storage.storageClassName`; an"
            " existing claim keeps its class and must be deleted to get another"
        ),
    ),
    (
        "ReadWriteOncePod",
        (
            "this storage has no ReadWriteOncePod: set `spec.runner.storage.accessMode` to"
            " ReadWriteOnce, and delete the claim, which has no volume yet"
        ),
    ),
    (
        "access mode",
        (
            "this storage has no such access mode: set `spec.runner.storage.accessMode`, and delete"
            " the claim, which has no volume yet"
        ),
    ),
    (
        "",
        "see its storage class and CSI driver, and `spec.runner.storage`",
    ),
)
_FORBIDDEN: Final = 403
_TERMINATING: Final = "NamespaceTerminating"
MOST_OF_OTHERS: Final = 500
"""Bytes of Kubernetes' own words that are kept, so that the remedy has room beside them."""


def in_ending_namespace(error: ApiError) -> bool:
    """Whether nothing can be made because the namespace is being deleted: nothing is wrong."""
    return _TERMINATING in error.causes


def is_not_let(error: ApiError) -> bool:
    """Whether a quota, a policy or a missing right keeps an object from being made."""
    return error.status == _FORBIDDEN and not in_ending_namespace(error)


def refused(message: str) -> str:
    """What the API server said when it refused an object, and what to do."""
    return _joined(message, _first(_REFUSALS, message))


def not_placed(message: str) -> str:
    """What the scheduler said, and what to do."""
    return _joined(message, _first(_PLACES, message))


def not_mounted(message: str) -> str:
    """What a kubelet said before it could make a container, and what to do."""
    return _joined(message, _first(_MOUNTS, message))


def not_bound(message: str) -> str:
    """What was said of a claim that gets no volume, and what to do."""
    return _joined(message, _first(_CLAIMS, message))


def not_started(reason: str, message: str) -> str:
    """Why a container waits, and what to do."""
    return _joined(f"{reason}: {message}" if message else reason, _WAITING.get(reason, ""))


def _first(remedies: tuple[tuple[str, str], ...], message: str) -> str:
    lower = message.lower()
    return next((remedy for words, remedy in remedies if words.lower() in lower), "")


def _joined(message: str, remedy: str) -> str:
    said = message.encode()[:MOST_OF_OTHERS].decode(errors="ignore").strip().rstrip(".")
    return f"{said}; {remedy}" if remedy else said
